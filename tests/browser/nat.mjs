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
// Needs root, or a user namespace as tests/namespace makes it; ip, nft, unshare, nsenter.

import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { atEnd } from './program.mjs';

/** How each kind of NAT (RFC 4787 s4) chooses the port outside. */
const KINDS = {
  // Another port for each peer: what a STUN server sees is of no use to anybody else.
  symmetric: 'masquerade fully-random',
  // One port for all peers, open to those that were written to.
  'port-restricted': 'masquerade',
};

const PATH = `${process.env.PATH}:/usr/sbin:/sbin`;
/** A default route that leads nowhere: programs take a machine without one to be offline. */
const NOWHERE = '203.0.113.254';

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

  /** Routes between its cables. */
  forward() {
    run([...this.enter, 'sh', '-c', 'echo 1 >/proc/sys/net/ipv4/ip_forward']);
  }
}

/** A host: its `address`, and `outside`, the address that others see. */
class Host extends Namespace {
  #router = null;

  static async of(t, street, number, { nat = null }) {
    const host = new Host(await hold(t));
    host.outside = `203.0.113.${number}`;
    if (nat) await host.#moveBehind(t, street, number, nat);
    else host.#moveTo(street, number);
    return host;
  }

  #moveTo(street, number) {
    this.address = this.outside;
    join(this, street, number);
  }

  async #moveBehind(t, street, number, kind) {
    this.address = `192.168.${number}.2`;
    this.#router = new Namespace(await hold(t));
    join(this.#router, street, number);
    this.cable('lan', this.#router, 'lan');
    this.#router.ip(`address add 192.168.${number}.1/24 dev lan`);
    this.ip(`address add ${this.address}/24 dev lan`, `route add default via 192.168.${number}.1`);
    this.#router.forward();
    this.become(kind);
  }

  /** Changes the kind of its NAT for new flows. */
  become(kind) {
    if (!KINDS[kind]) throw new Error(`${kind}: expected one of ${Object.keys(KINDS)}`);
    // What comes from the street uninvited is dropped: it would take the place of a flow of ours
    // in the connection table, and with it the port.
    run([...this.#router.enter, 'nft', '-f', '-'], `
      flush ruleset
      table ip nat {
        chain leave { type nat hook postrouting priority srcnat; oifname "street" ${KINDS[kind]}; }
        chain arrive { type filter hook input priority filter; iifname "street" ct state new drop; }
        chain through { type filter hook forward priority filter; iifname "street" ct state new drop; }
      }`);
  }
}

/** Puts a namespace on the street. */
function join(namespace, street, number) {
  namespace.cable('street', street, `to${number}`);
  street.ip(`link set to${number} master street`);
  namespace.ip(`address add 203.0.113.${number}/24 dev street`, `route add default via ${NOWHERE}`);
}

/**
 * Builds a lab of named hosts, each `{}` on the street or `{ nat: KIND }` behind a NAT of its own.
 * @returns {Promise<Record<string, Host>>}
 */
export async function build(t, hosts) {
  const street = new Namespace(await hold(t));
  street.ip('link add street type bridge', 'link set street addrgenmode none', 'link set street up');
  const lab = {};
  let number = 0;
  for (const [name, about] of Object.entries(hosts)) lab[name] = await Host.of(t, street, ++number, about);
  return lab;
}
