/** What benchmarks of the whole project use of this package's lab. */
export { labProblem } from './lab.js';
export { NamesLab, type NamesTask } from './names-lab.js';
export { plainView, type ViewPlan } from '../support/name-views.js';
