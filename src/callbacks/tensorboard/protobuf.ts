// Protocol buffers, as much of them as event files need: fields that are written one after another.
import { concatenate } from '../../saving/safetensors.ts';

const text = new TextEncoder();

/** A message that is being written. Field numbers are those of the `.proto` files. */
export class Message {
  private readonly parts: Uint8Array[] = [];

  /** An integer, a bool or an enum. */
  varint(field: number, value: number): this {
    this.key(field, 0);
    this.parts.push(varint(value));
    return this;
  }

  double(field: number, value: number): this {
    this.key(field, 1);
    this.parts.push(new Uint8Array(Float64Array.of(value).buffer));
    return this;
  }

  float(field: number, value: number): this {
    this.key(field, 5);
    this.parts.push(new Uint8Array(Float32Array.of(value).buffer));
    return this;
  }

  /** Several doubles in one field, packed. */
  doubles(field: number, values: readonly number[]): this {
    return this.bytes(field, new Uint8Array(Float64Array.from(values).buffer));
  }

  string(field: number, value: string): this {
    return this.bytes(field, text.encode(value));
  }

  bytes(field: number, value: Uint8Array): this {
    this.key(field, 2);
    this.parts.push(varint(value.length), value);
    return this;
  }

  message(field: number, value: Message): this {
    return this.bytes(field, value.encode());
  }

  encode(): Uint8Array<ArrayBuffer> {
    return concatenate(this.parts);
  }

  private key(field: number, wire: number): void {
    this.parts.push(varint(field * 8 + wire));
  }
}

/** An integer of up to 53 bits, seven a byte; negative ones have no place in event files. */
function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  while (rest > 127) {
    bytes.push((rest % 128) + 128);
    rest = Math.floor(rest / 128);
  }
  bytes.push(rest);
  return Uint8Array.from(bytes);
}
