import CStress
import Glibc

/// Churn with all threads on one CPU, another one in each phase.
///
/// All work on the caches of that one CPU, taking turns wherever the scheduler preempts them: inside a section, which is
/// then aborted, or inside a slow path, whose thread finds the caches changed when it goes on. Blocks outlive the phase,
/// so that those of one CPU are freed on the next.
struct OneCPU<Tested: AllocatorUnderTest>: Scenario {
  let workers: [Worker<Tested>]

  init(_ run: RunContext<Tested>) {
    let count = max(8, run.options.threads)
    workers = ScenarioName.onecpu.workers(run, count: count, slots: max(64, Churn<Tested>.slotsInAll / count))
  }

  func begin(_ worker: Worker<Tested>) {
    if !cs_pin(Int32(worker.phase)) { worker.fail(.affinity, "the system does not keep the thread on one CPU") }
  }

  /// Every 64th step, on average, hands the CPU on: the scheduler's turns are long.
  func step(_ worker: Worker<Tested>) {
    let yields = worker.random.once(in: 64)
    Churn.step(worker, .mixed)
    if yields { sched_yield() }
  }

  func end(_ worker: Worker<Tested>) { _ = cs_pin(-1) }
}
