export * from './constraint.js';
