import test from 'ava';
import { mainJob } from './main-job.js';

mainJob(test, 'docker');
