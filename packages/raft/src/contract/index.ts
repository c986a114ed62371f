export { type ContractCase, runContract, type TestFunction } from './contract-case.js';
export { storageContract, type StorageUnderTest } from './storage-contract.js';
export { transportContract, type TransportsUnderTest } from './transport-contract.js';
