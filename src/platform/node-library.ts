// Hands the library to functions that build models: those that are sent to worker threads take it as a parameter.
import * as library from '../api.ts';
import { provideLibrary } from '../tuning/parallel.ts';

provideLibrary(library);
