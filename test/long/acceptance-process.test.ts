import test from 'ava';
import { acceptance } from './acceptance.js';

acceptance(test, 'process');
