import { labProblem } from '@swarm/routing-mesh/lab';
import { measureChanges } from './mesh/changes.js';
import { measureExit } from './mesh/exit.js';
import { measureNamespaces } from './mesh/namespaces.js';
import { missingPrograms } from './mesh/programs.js';
import { type Figures, measureTraffic } from './mesh/traffic.js';
import type { Report } from './report.js';

export interface MeshBenchOptions {
  /** Of `traffic`, `changes`, `namespaces`, `exit`. */
  readonly parts: readonly string[];
  /** Turns of the traffic. */
  readonly rounds: number;
  /** Of each load. */
  readonly seconds: number;
  /** With published ports, while tasks exit. */
  readonly services: number;
}

export const DEFAULT_MESH_OPTIONS: MeshBenchOptions = {
  parts: ['traffic', 'changes', 'namespaces', 'exit'],
  rounds: 5,
  seconds: 2,
  services: 5000,
};

/** The mesh's data path against plain routing and HAProxy, and what changes of it cost. */
export async function benchMesh(
  say: (text: string) => void,
  options: MeshBenchOptions,
): Promise<Report> {
  const { parts } = options;
  const unknown = parts.find((part) => !DEFAULT_MESH_OPTIONS.parts.includes(part));
  if (unknown !== undefined) {
    throw new Error(`--only ${unknown}: parts are ${DEFAULT_MESH_OPTIONS.parts.join(', ')}`);
  }
  const problem = labProblem();
  if (problem !== undefined) throw new Error(`bench mesh cannot run here: ${problem}`);
  const measured: Figures[] = [];
  if (parts.includes('traffic')) {
    const missing = missingPrograms(say);
    measured.push(
      missing.length === 0
        ? await measureTraffic(say, options)
        : {
            ...{ goals: [], figures: [] },
            notes: [`traffic was not measured: install ${missing.join(', ')}`],
          },
    );
  }
  if (parts.includes('changes')) measured.push(await measureChanges(say));
  if (parts.includes('namespaces')) measured.push(await measureNamespaces(say));
  if (parts.includes('exit')) measured.push(await measureExit(say, options));
  return {
    bench: 'mesh',
    goals: measured.flatMap(({ goals }) => goals),
    figures: measured.flatMap(({ figures }) => figures),
    notes: measured.flatMap(({ notes }) => notes),
  };
}
