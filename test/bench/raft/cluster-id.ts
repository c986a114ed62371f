/** Our cluster's name in certificates, log and hello. */
export const CLUSTER_ID = 'bench';
