// Data sets in Node.js: those of every platform, and folders of images.
import '../platform/node-files.ts';
import '../platform/node-workers.ts';

export { ImageFolder, type ImageFolderOptions, imageFolder } from './image-folder.ts';
export type { ImageOptions } from './images.ts';
export * from './index.ts';
