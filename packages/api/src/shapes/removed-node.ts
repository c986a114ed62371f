import type { RemovedNode } from '../objects/removed-node.js';
import { record, timestamp } from '../wire/shape.js';
import { META } from './common.js';

export const removedNodeShape = record<RemovedNode>({ ...META, Until: timestamp });
