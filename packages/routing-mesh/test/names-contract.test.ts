import { noServiceNames } from '../src/names/service-names.js';
import { namedTask, namesContract } from './contract/names-contract.js';

namesContract('no names', async () => ({ names: noServiceNames, task: namedTask }));
