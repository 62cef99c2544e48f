"""Who runs programs: two runtimes, virtual clocks, data of the parties, processes, supervision, security.

It knows no physics of its own. Of the folders `scenarios` alone imports it.

- `data`: How an owner reads its own data, and what it refuses.
- `datasets`: The two data sets of scikit-learn that scenarios name, read from its files; scikit-learn itself is not
  imported.
- `drawing`: Which copies of a measurement are alike, and outcomes of those that are not: in bases of their own, or in
  pairs.
- `holdings`: What a program holds beside copies: receipts, choices of copies, and copies kept to be measured
  together.
- `inline`: The inline runtime: all parties in one process, links called directly. For tests, notebooks, sweeps.
- `ledger`: A fiber's ledger: one JSON line per message that it carried, in the order of its sessions.
- `memory`: Freed memory stays with the process: batches come and go, and new pages would be cleared each time.
- `models`: Trained models as their owners keep them: the angles of one party's layers in a file that it alone reads.
- `npyfiles`: Arrays of .npy and .npz files, whose claims are compared with their sizes before memory is taken.
- `party`: The machine under a program, without its input and output: registers, clock, randomness.
- `processor`: A node's processor and memory in virtual time: registers are worked on, one copy after the other, and
  decay.
- `programs`: The built-in programs by the ids that sessions, jobs and run folders record.
- `session`: What a runtime is asked to run, and what it answers: the same types for every runtime.
- `settings`: Copies measured in different settings: each is taken through the circuit of its own, then its law is
  found.
- `tables`: Tables of numbers in text files (.csv): separators, headers, labels, comments, and what is refused.
- `threads`: One BLAS thread: with another number BLAS sums in another order, and processes have one each.
- `traced`: A training run once more, inline, with all that its owners keep to themselves made visible.
- `trampoline`: The trampoline: drives a program from effect to effect, with no event loop under it.
- `visits`: A batch on its visit to the processor, and what is to be done with it.
- `witness`: A session run once more with a witness: what its outcomes are drawn from, not what is drawn.
"""

if __name__ != "ketwire.nodes":
    raise ImportError("import ketwire.nodes: the folder 'nodes' is not a package of its own")
