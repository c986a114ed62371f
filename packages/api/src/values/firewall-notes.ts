import type { ForeignFirewall } from '../objects/node-paths.js';

/** What a firewall of a node's host must let pass. */
export interface FirewallPlace {
  /** UDP port of the tunnel. */
  readonly dataPathPort: number;
  /** TCP port on which managers listen for other nodes. */
  readonly listenPort: number;
}

/** What a firewall does to packets that no rule of it names, as the end of a sentence about its host. */
export function firewallNote({ Kind, Table, Hooks }: ForeignFirewall): string {
  const what = Hooks.map((hook) => (hook === 'input' ? 'incoming' : 'forwarded')).join(' and ');
  const who = { firewalld: 'firewalld', ufw: 'ufw', docker: 'Docker', other: 'a firewall' }[Kind];
  return `${who} (table ${Table}) drops ${what} packets that no rule of it accepts`;
}

/** Commands to run as root on the host, which let the cluster's packets pass. Repeating them does no harm. */
export function firewallCommands(
  { Kind, Table, Hooks }: ForeignFirewall,
  { dataPathPort, listenPort }: FirewallPlace,
): readonly string[] {
  const isIn = Hooks.includes('input');
  const isForward = Hooks.includes('forward');
  switch (Kind) {
    case 'firewalld':
      return [
        `firewall-cmd --permanent --add-port=${listenPort}/tcp --add-port=${dataPathPort}/udp`,
        'firewall-cmd --permanent --zone=trusted --add-interface=swarm-vxlan',
        'firewall-cmd --permanent --zone=trusted --add-interface=swt+',
        'firewall-cmd --reload',
      ];
    case 'ufw':
      return [
        ...(isIn
          ? [
              `ufw allow ${listenPort}/tcp`,
              `ufw allow ${dataPathPort}/udp`,
              'ufw allow in on swarm-vxlan',
            ]
          : []),
        ...(isForward ? UFW_ROUTES.map((route) => `ufw route allow ${route}`) : []),
      ];
    case 'docker':
      return CHAIN_RULES.map(
        ([flag, device]) =>
          `iptables -C DOCKER-USER ${flag} ${device} -j ACCEPT 2>/dev/null || iptables -I DOCKER-USER ${flag} ${device} -j ACCEPT`,
      );
    case 'other':
      return [
        ...(isIn
          ? [
              `# in a chain of ${Table} for incoming packets:`,
              ...inputRules(listenPort, dataPathPort),
            ]
          : []),
        ...(isForward ? [`# in a chain of ${Table} for forwarded packets:`, ...FORWARD_RULES] : []),
      ];
  }
}

/** ufw takes `+` for the rest of a name, as iptables does. */
const UFW_ROUTES = ['in on swarm-vxlan', 'out on swarm-vxlan', 'in on swt+', 'out on swt+'];

const CHAIN_RULES = [
  ['-i', 'swarm-vxlan'],
  ['-o', 'swarm-vxlan'],
  ['-i', 'swt+'],
  ['-o', 'swt+'],
] as const;

const FORWARD_RULES = [
  '#   iifname { "swarm-vxlan", "swt*" } accept',
  '#   oifname { "swarm-vxlan", "swt*" } accept',
];

function inputRules(listenPort: number, dataPathPort: number): readonly string[] {
  return [
    `#   tcp dport ${listenPort} accept`,
    `#   udp dport ${dataPathPort} accept`,
    '#   iifname "swarm-vxlan" accept',
  ];
}
