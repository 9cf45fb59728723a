// Data sets in Node.js: those of every platform, and folders of images.
export { ImageFolder, type ImageFolderOptions, imageFolder } from './image-folder.ts';
export type { ImageOptions } from './images.ts';
export * from './index.ts';
