/** A service as a daemon sends it: the one that the cases of `docker-cases.ts` were recorded with. */
export const SERVICE_DATA = {
  ID: '1gax6h9nflcaum0lv4tqn2axn',
  Version: { Index: 147 },
  CreatedAt: '2026-11-23T17:08:21.022384187Z',
  UpdatedAt: '2026-11-23T17:08:25Z',
  Spec: {
    Name: 'web',
    Labels: { b: '2', a: '1', empty: '', 'com.x.y': 'dots' },
    TaskTemplate: {
      ContainerSpec: {
        Image: 'nginx:1@sha256:abc',
        Command: ['sh', '-c'],
        Args: ['echo "a b"', "it's <b>&"],
        Env: ['A=1', 'B=two words', 'C=é😀'],
        Init: false,
        Hosts: ['10.0.0.1 db'],
        StopGracePeriod: 10000000000,
        Healthcheck: { Test: ['CMD', 'true'], Interval: 1500000000, Retries: 3 },
        Mounts: [
          { Type: 'bind', Source: '/a', Target: '/b', ReadOnly: true },
          { Type: 'volume', Target: '/c' },
        ],
        DNSConfig: {},
        Isolation: 'default',
      },
      Resources: { Limits: { NanoCPUs: 500000000 }, Reservations: {} },
      RestartPolicy: { Condition: 'any', Delay: 5000000000, MaxAttempts: 0 },
      Placement: { Constraints: ['node.role==worker'], MaxReplicas: 2 },
      ForceUpdate: 3,
      Runtime: 'container',
    },
    Mode: { Replicated: { Replicas: 0 } },
    UpdateConfig: {
      Parallelism: 2,
      Delay: 90000000000,
      FailureAction: 'pause',
      Monitor: 500000000,
      MaxFailureRatio: 0.25,
      Order: 'stop-first',
    },
    EndpointSpec: {
      Mode: 'vip',
      Ports: [
        { Protocol: 'tcp', TargetPort: 80, PublishedPort: 8080, PublishMode: 'ingress' },
        { Protocol: 'udp', TargetPort: 53, PublishedPort: 53, PublishMode: 'host' },
      ],
    },
  },
  Endpoint: {
    Spec: { Mode: 'vip' },
    Ports: [{ Protocol: 'tcp', TargetPort: 80, PublishedPort: 8080, PublishMode: 'ingress' }],
    VirtualIPs: [{ NetworkID: 'n1', Addr: '10.0.0.2/24' }],
  },
} as const;
