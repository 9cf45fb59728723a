// Writes an ONNX model of stacked dense layers, so that onnxruntime can be timed without Python. Field numbers: onnx.proto.

/** Protobuf: an unsigned integer in groups of seven bits. */
function varint(value) {
  const bytes = [];
  for (; value > 127; value = Math.floor(value / 128)) bytes.push((value % 128) | 128);
  return Buffer.from([...bytes, value]);
}
const integer = (field, value) => Buffer.concat([varint(field * 8), varint(value)]);
const block = (field, content) => {
  const bytes = Buffer.from(content);
  return Buffer.concat([varint(field * 8 + 2), varint(bytes.length), bytes]);
};
const message = (field, ...parts) => block(field, Buffer.concat(parts));

const float32 = 1;

function initializer(name, dims, values) {
  const raw = Buffer.from(values.buffer, values.byteOffset, values.byteLength);
  return message(5, ...dims.map((d) => integer(1, d)), integer(2, float32), block(8, name), block(9, raw));
}

function node(op, inputs, output) {
  return message(
    1,
    ...inputs.map((name) => block(1, name)),
    block(2, output),
    block(3, output),
    block(4, op),
  );
}

/** An input or output of the graph, [batch, columns] with a batch of any size. */
function port(field, name, columns) {
  const shape = message(2, message(1, block(2, 'batch')), message(1, integer(1, columns)));
  return message(field, block(1, name), message(2, message(1, integer(1, float32), shape)));
}

/**
 * The bytes of a model `x` -> dense, relu, dense, ..., softmax -> `y`.
 * `layers`: `{ rows, columns, weights, bias }`, weights row-major [rows, columns].
 */
export function onnxMlp(layers) {
  const parts = [];
  let input = 'x';
  for (const [i, { rows, columns, weights, bias }] of layers.entries()) {
    parts.push(initializer(`w${i}`, [rows, columns], weights), initializer(`b${i}`, [columns], bias));
    parts.push(node('Gemm', [input, `w${i}`, `b${i}`], `dense${i}`));
    const last = i === layers.length - 1;
    input = last ? 'y' : `relu${i}`;
    parts.push(node(last ? 'Softmax' : 'Relu', [`dense${i}`], input));
  }
  const ports = [port(11, 'x', layers[0].rows), port(12, 'y', layers.at(-1).columns)];
  const graph = message(7, ...parts, block(2, 'mlp'), ...ports);
  const opset = message(8, block(1, ''), integer(2, 13));
  return Buffer.concat([integer(1, 8), opset, graph]);
}
