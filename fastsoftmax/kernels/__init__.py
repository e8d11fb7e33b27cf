"""Arithmetic only: arrays and numbers in, numbers out; no Python objects and no threads.

Kernels, each for slices that lie in some way (`_layout` tells which)::

    classes, class_gradients            very short, one after the other: a kernel for each length
    narrow, narrow_gradients            short
    short, rows                         softmax along memory: of one block, of several
    batches, row_gradients              the others of one block along memory
    whole                               slices of several blocks: taken whole, or shared by threads
    columns, strips, column_gradients   across memory
    bunches                             across memory, in runs of a few
    column_blocks, column_results       of several blocks across memory: reduced, written
    interleaved, interleaved_results    the same of a few slices side by side
    losses, leaders                     what else is wanted of slices that are summed up
    copies                              inputs to where their results go

What they are made of, from the formulas of one vector up::

    values, vectors, shuffles                     machine values
    memory, elements, workspaces                  how they are loaded and stored
    powers, exponential, logarithm, cooled        exponentials, logarithms, temperatures
    gradual, underflow                            results that are subnormal
    sums, operations, steps, outcomes             the functions, their sums, what slices come to
    strides, masks, groups, operands              where elements are
    tiles, lane_totals, narrow_tiles              slices side by side
    cells, packing, exchanges                     columns in tiles
    sweep, terms, along, block_results            blocks along memory
    turns, few, class_results                     slices side by side to columns and back
    gradient_steps                                what gradients take
"""
