// A small internet of network namespaces: a street with public addresses, hosts on it, and hosts behind NATs of
// their own. Nothing leads out of it. A namespace has no name that another run could meet, and goes with what runs in
// it: the process that holds it ends when we do, however we do.
//
//   const lab = await build(t, { meet: {}, phone: { nat: 'symmetric' }, box: { nat: 'symmetric' } });
//   Program.start('nightjar-signal', ['--listen', `${lab.meet.address}:0`], lab.meet);
//
//   meet 203.0.113.1 ---+-------- street (bridge)
//                       +-- 203.0.113.2 NAT 192.168.2.1 --- 192.168.2.2 phone
//                       +-- 203.0.113.3 NAT 192.168.3.1 --- 192.168.3.2 box
//
// `{ behind: 'phone' }` puts a host into the LAN of another, kept apart from it as guests of a Wi-Fi are. With
// `family: 6` there are IPv6 addresses only (2001:db8::N, 2001:db8:N::2) and a router is a firewall without NAT.
//
// Needs root, or a user namespace as tests/namespace makes it; ip, nft, unshare, nsenter.

import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { atEnd } from './program.mjs';

/** How each kind of NAT (RFC 4787 s4) chooses the port outside. */
const KINDS = {
  // Another port for each peer: what a STUN server sees is of no use to anybody else.
  symmetric: { leave: 'masquerade fully-random' },
  // One port for all peers, open to those that were written to.
  'port-restricted': { leave: 'masquerade' },
  // One port for all peers, open to everybody once anybody was written to, the LAN's own hosts too (hairpinning).
  'full-cone': { leave: 'masquerade', open: true },
};

/** The addresses of the two families: on the street, in a LAN, and what leads nowhere. */
const FAMILIES = {
  4: {
    street: (number) => `203.0.113.${number}`, lan: (number, host) => `192.168.${number}.${host}`, bits: 24,
    forward: 'ipv4/ip_forward',
  },
  6: {
    street: (number) => `2001:db8::${number}`, lan: (number, host) => `2001:db8:${number}::${host}`, bits: 64,
    forward: 'ipv6/conf/all/forwarding',
  },
};

const PATH = `${process.env.PATH}:/usr/sbin:/sbin`;
/** The street's host that a default route leads to and that is not there: programs take a machine without one to be
 * offline. */
const NOBODY = 254;

const run = ([command, ...args], input = '') =>
  execFileSync(command, args, { input, env: { ...process.env, PATH }, stdio: ['pipe', 'pipe', 'inherit'] });

/** Holds a new network namespace; resolves to the holder's process id. */
async function hold(t) {
  // `cat` ends when our end of its input does.
  const held = ['--net', '--', 'sh', '-c', 'echo; exec cat'];
  const holder = spawn('unshare', held, { stdio: ['pipe', 'pipe', 'inherit'] });
  atEnd(t, () => holder.kill('SIGKILL'));
  const ended = once(holder, 'close').then(() => { throw new Error('no network namespace to be had here'); });
  await Promise.race([once(holder.stdout, 'data'), ended]);
  ended.catch(() => {});
  return holder.pid;
}

/** A network namespace, and `enter`, the words before a command that runs there. */
class Namespace {
  constructor(pid) {
    this.pid = pid;
    this.enter = ['nsenter', `--net=/proc/${pid}/ns/net`, '--'];
    this.ip('link set lo up');
  }

  /** Runs lines of `ip`. */
  ip(...lines) {
    run([...this.enter, 'ip', '-batch', '-'], `${lines.join('\n')}\n`);
  }

  /** Lays a cable: `name` here, `far` there. No link-local addresses: browsers start over when one appears. */
  cable(name, there, far) {
    const ends = [name, 'netns', `${this.pid}`, 'type', 'veth', 'peer', 'name', far, 'netns', `${there.pid}`];
    run(['ip', 'link', 'add', ...ends]);
    this.ip(`link set ${name} addrgenmode none`, `link set ${name} up`);
    there.ip(`link set ${far} addrgenmode none`, `link set ${far} up`);
  }

  /** Writes a setting of the network, a path below /proc/sys/net, where the kernel has it. */
  set(name, value) {
    const path = `/proc/sys/net/${name}`;
    run([...this.enter, 'sh', '-c', `[ ! -e ${path} ] || echo ${value} >${path}`]);
  }

  /** Loads rules of nft. */
  nft(rules) {
    run([...this.enter, 'nft', '-f', '-'], rules);
  }
}

/** A router on the street, and the LAN behind it. */
class Router extends Namespace {
  constructor(pid, street, number, family) {
    super(pid);
    const { lan, bits, forward } = FAMILIES[family];
    Object.assign(this, { number, family, hosts: 1 });
    join(this, street, number, family);
    this.ip(
      'link add lan type bridge', 'link set lan addrgenmode none', 'link set lan up',
      `address add ${lan(number, 1)}/${bits} dev lan${family === 6 ? ' nodad' : ''}`,
    );
    this.set(forward, 1);
    // For another's packets a router asks for its neighbours by its link-local address.
    if (family === 6) this.ip(...['street', 'lan'].map((dev) => `address add fe80::${number}/64 dev ${dev} nodad`));
    // What changes its direction here is routed, never bridged.
    this.set('bridge/bridge-nf-call-iptables', 0);
    // A host is not told of a nearer way: that to its neighbour is closed.
    this.set('ipv4/conf/all/send_redirects', 0);
    this.set('ipv4/conf/lan/send_redirects', 0);
  }

  /** Cables a host into the LAN, apart from the others there; its address. */
  add(host) {
    const { lan, bits } = FAMILIES[this.family];
    this.hosts += 1;
    const port = `lan${this.hosts}`;
    host.cable('lan', this, port);
    this.ip(`link set ${port} master lan`, `link set ${port} type bridge_slave isolated on`);
    const address = lan(this.number, this.hosts);
    const nodad = this.family === 6 ? ' nodad' : '';
    host.ip(`address add ${address}/${bits} dev lan${nodad}`, `route add default via ${lan(this.number, 1)}`);
    return address;
  }

  /** Changes its kind for new flows. */
  become(kind) {
    if (this.family === 6) {
      this.nft(`
        flush ruleset
        table ip6 wall { chain through { type filter hook forward priority filter; iifname "street" ct state new drop; }; }`);
      return;
    }
    const chosen = KINDS[kind];
    if (!chosen) throw new Error(`${kind}: expected one of ${Object.keys(KINDS)}`);
    const outside = FAMILIES[4].street(this.number);
    const open = `
        map open { type inet_service : ipv4_addr; flags dynamic,timeout; timeout 5m; }
        chain note { type filter hook forward priority -10; oifname "street" meta l4proto udp update @open { udp sport : ip saddr }; }
        chain enter { type nat hook prerouting priority dstnat; ip daddr ${outside} meta l4proto udp dnat to udp dport map @open; }
        chain turn { type nat hook postrouting priority srcnat; oifname "lan" ct status dnat ip saddr 192.168.0.0/16 snat to ${outside}; }`;
    // What comes from the street uninvited is dropped: it would take the place of a flow of ours
    // in the connection table, and with it the port.
    this.nft(`
      flush ruleset
      table ip nat {${chosen.open ? open : ''}
        chain leave { type nat hook postrouting priority srcnat; oifname "street" ${chosen.leave}; }
        chain arrive { type filter hook input priority filter; iifname "street" ct state new drop; }
        chain through { type filter hook forward priority filter; iifname "street" ct state new ct status & dnat == 0 drop; }
      }`);
  }
}

/** A host: its `address`, `authority` as URLs have it, and `outside`, the address that others see. */
class Host extends Namespace {
  #router = null;

  static async of(t, { street, number, family, lab }, { nat = null, behind = null }) {
    const host = new Host(await hold(t));
    host.family = family;
    if (behind) host.#router = lab[behind].#router;
    else if (nat) host.#router = new Router(await hold(t), street, number, family);
    if (host.#router) {
      host.address = host.#router.add(host);
      host.outside = family === 6 ? host.address : FAMILIES[4].street(host.#router.number);
      if (nat) host.become(nat);
    } else {
      host.address = host.outside = join(host, street, number, family);
    }
    host.authority = family === 6 ? `[${host.address}]` : host.address;
    return host;
  }

  /** What stands on the street for it. */
  get front() {
    return this.#router ?? this;
  }

  /** Changes the kind of its NAT for new flows. */
  become(kind) {
    this.#router.become(kind);
  }

  /** What a REST server of this host says to one who asks from there: parsed JSON. */
  ask(url) {
    return JSON.parse(run([...this.enter, 'curl', '--silent', '--show-error', url]).toString());
  }

  /** Moves to another address in its LAN: what was connected through the old one is gone. */
  move(last) {
    const { lan, bits } = FAMILIES[this.family];
    const { number } = this.#router;
    const next = lan(number, last);
    this.ip(
      `address del ${this.address}/${bits} dev lan`, `address add ${next}/${bits} dev lan`,
      `route replace default via ${lan(number, 1)}`,
    );
    this.address = next;
  }
}

/** Puts a namespace on the street; its address there. */
function join(namespace, street, number, family) {
  const { street: address, bits } = FAMILIES[family];
  const nodad = family === 6 ? ' nodad' : '';
  namespace.cable('street', street, `to${number}`);
  street.ip(`link set to${number} master street`);
  namespace.ip(
    `address add ${address(number)}/${bits} dev street${nodad}`, `route add default via ${address(NOBODY)}`,
  );
  return address(number);
}

/** Tells everybody on the street which LAN is behind whom: IPv6 is routed. */
function route(hosts) {
  const fronts = hosts.map(({ front }) => front);
  for (const router of fronts.filter((front) => front instanceof Router)) {
    const { lan, street, bits } = FAMILIES[6];
    const way = `route replace ${lan(router.number, 0)}/${bits} via ${street(router.number)}`;
    for (const front of fronts) if (front !== router) front.ip(way);
  }
}

/**
 * Builds a lab of named hosts, each `{}` on the street, `{ nat: KIND }` behind a router of its own, or
 * `{ behind: NAME }` behind the router of an earlier one.
 * @returns {Promise<Record<string, Host>>}
 */
export async function build(t, hosts, { family = 4 } = {}) {
  const street = new Namespace(await hold(t));
  street.ip('link add street type bridge', 'link set street addrgenmode none', 'link set street up');
  const lab = {};
  let number = 0;
  for (const [name, about] of Object.entries(hosts)) {
    number += 1;
    lab[name] = await Host.of(t, { street, number, family, lab }, about);
  }
  if (family === 6) route(Object.values(lab));
  return lab;
}
