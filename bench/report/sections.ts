// sections.ts: the parts of the page: which cases belong together, and what is to be said of them.

export interface Section {
  /** Names the pictures, too. */
  readonly id: string;
  readonly title: string;
  readonly text: string;
  readonly holds: RegExp;
}

export const sections: readonly Section[] = [
  {
    id: 'placing',
    title: 'Placing tasks',
    text: 'Tasks are created in bulk while hollow agents watch. A hollow agent speaks the protocol of the real one over a TLS connection of its own, with its own client certificate; it only runs no process. A task counts when its agent has it, and so after its binding is on disk. Afterwards every task must be there, bound exactly once, delivered to the agent it is bound to, and no node may hold more than it has.',
    holds: /^(Scheduling|NodeSelector|Taints|Unschedulable|MixedChurn|Priority|history|bind)/,
  },
  {
    id: 'running',
    title: 'Running tasks',
    text: 'From creation to a durable `Succeeded`. Where it says /bin/true, each task is a process of its own, in its own session and control group, with its own log.',
    holds: /^(lifecycle|true-per-second|real-|hollow-)/,
  },
  {
    id: 'waiting',
    title: 'How long one task waits',
    text: 'The process itself writes down when it runs; so the figure holds the way through API server, store, scheduler and agent, and the start of the process.',
    holds: /^(submit-to-running|loaded-latency)/,
  },
  {
    id: 'api',
    title: 'The API alone',
    text: 'Requests over TLS with a client certificate, each authenticated, authorized, validated, and answered when it is on disk.',
    holds: /^(api-|watch-)/,
  },
  {
    id: 'losing',
    title: 'Many agents, lost nodes, a lost leader',
    text: 'What agents cost that only say that they are there, how soon it is noticed that one does not, and how soon another leader goes on.',
    holds: /^(agents\/|agents-|node-loss|failover)/,
  },
  {
    id: 'size',
    title: 'Size and start',
    text: 'Resident memory and times of start.',
    holds: /^(memory|cold-start)/,
  },
  { id: 'other', title: 'Other cases', text: '', holds: /^/ },
];

/** The first whose cases have such names. */
export function sectionOf(name: string): Section {
  return sections.find(({ holds }) => holds.test(name))!;
}
