// What tests of packages built on the worker may use of its tests.
export { FakeMesh } from './fake-mesh.js';
export { FakeRuntime } from './fake-runtime.js';
export { MemoryAgentDisk } from './memory-agent-disk.js';
