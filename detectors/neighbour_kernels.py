"""The hot loops of DBSCAN: counting neighbours, uniting core rows, reaching the others.

Nodes and cells are those of `detectors.kdtree.Tree`; `tree` is its `arrays`, `bounds` are those of a
`detectors.neighbours.Radius`, `box` is the corners of all rows' nodes. Whoever calls has checked shapes and indices.
"""

import numpy as np

from detectors.kernels import kernel

EUCLIDEAN, MANHATTAN = 0, 1  # as in detectors.kdtree_kernels; a kernel does not notice a change in another file

EXTRA_LEVELS = 1
"""Levels of our tree below the leaves of scikit-learn's."""


@kernel
def _leaf_distances(cells, start, size, row, metric, reduced):  # type: ignore[no-untyped-def]
    n_features = row.shape[0]
    reduced[:size] = 0.0
    for k in range(n_features):
        value = row[k]
        feature = cells[start * n_features + k * size : start * n_features + (k + 1) * size]
        if metric == EUCLIDEAN:
            for other in range(size):
                reduced[other] += (value - feature[other]) * (value - feature[other])
        elif metric == MANHATTAN:
            for other in range(size):
                reduced[other] += abs(value - feature[other])
        else:
            for other in range(size):
                reduced[other] = max(reduced[other], abs(value - feature[other]))


@kernel
def _take(cells, start, size, member, row):  # type: ignore[no-untyped-def]
    for k in range(row.shape[0]):
        row[k] = cells[start * row.shape[0] + k * size + member]


@kernel
def _add(metric, total, side):  # type: ignore[no-untyped-def]
    if metric == EUCLIDEAN:
        return total + side * side
    return total + side if metric == MANHATTAN else max(total, side)


@kernel
def _gap(low, high, node, row, metric):  # type: ignore[no-untyped-def]
    """The reduced distance from a row to the nearest corner or side of a node: never more than to a row in it."""
    gap = 0.0
    for k in range(row.shape[0]):
        gap = _add(metric, gap, max(low[node, k] - row[k], row[k] - high[node, k], 0.0))
    return gap


@kernel
def _reach(low, high, node, row, metric):  # type: ignore[no-untyped-def]
    """The reduced distance from a row to the farthest corner of a node."""
    reach = 0.0
    for k in range(row.shape[0]):
        reach = _add(metric, reach, max(row[k] - low[node, k], high[node, k] - row[k]))
    return reach


@kernel
def _node_gap(low, high, one, two, metric):  # type: ignore[no-untyped-def]
    """The reduced distance between two nodes."""
    gap = 0.0
    for k in range(low.shape[1]):
        gap = _add(metric, gap, max(low[one, k] - high[two, k], low[two, k] - high[one, k], 0.0))
    return gap


@kernel
def _walk(row, leaf, low, high, distance, power):  # type: ignore[no-untyped-def]
    """What the peer's query at `row` does to a leaf: 1 takes all of it, -1 none, 0 compares its rows one by one."""
    levels = 0
    while (leaf + 1) >> (levels + 1):
        levels += 1
    for level in range(levels, EXTRA_LEVELS - 1, -1):
        node = ((leaf + 1) >> level) - 1
        nearest, farthest = 0.0, 0.0
        for k in range(row.shape[0]):
            below, above = low[node, k] - row[k], row[k] - high[node, k]
            nearest += (0.5 * ((below + abs(below)) + (above + abs(above)))) ** power
            farthest += max(abs(below), abs(above)) ** power
        if nearest ** (1.0 / power) > distance:
            return -1
        if farthest ** (1.0 / power) <= distance:
            return 1
    return 0


@kernel
def _reaches(row, reduced, leaf, box, bounds):  # type: ignore[no-untyped-def]
    """Whether the peer's query at `row` finds a row of `leaf` at that reduced distance; `box`: all rows' corners."""
    distance, limit, surely, hardly, power = bounds
    if not surely < reduced <= hardly:
        return reduced <= surely
    verdict = _walk(row, leaf, box[0], box[1], distance, power)
    return reduced <= limit if verdict == 0 else verdict > 0


@kernel
def core_rows(tree, bounds, min_samples, first, last, is_core):  # type: ignore[no-untyped-def]  # noqa: C901
    """The leaves `first` to `last`; a row's count starts in its own leaf and climbs, so that it is soon complete."""
    # One long function: split in two, where arrays are handed from one to the other, it takes seven times as long.
    order, starts, stops, low, high, cells, widest, metric = tree
    distance, limit, surely, hardly, power = bounds
    reduced, row, nodes = np.empty(widest), np.empty(low.shape[1]), np.empty(64, dtype=np.int64)
    first_leaf = starts.shape[0] // 2
    for leaf in range(first_leaf + first, first_leaf + last):
        for member in range(stops[leaf] - starts[leaf]):
            _take(cells, starts[leaf], stops[leaf] - starts[leaf], member, row)
            count, climbed, nodes[0], depth = 0, leaf, leaf, 1
            while True:
                while depth > 0 and count < min_samples:
                    depth -= 1
                    node = nodes[depth]
                    start, size = starts[node], stops[node] - starts[node]
                    gap = _gap(low, high, node, row, metric)
                    if gap > hardly:
                        continue
                    reach = _reach(low, high, node, row, metric)
                    if reach <= surely:
                        count += size
                        continue
                    if node < first_leaf:
                        nodes[depth], nodes[depth + 1] = 2 * node + 1, 2 * node + 2
                        depth += 2
                        continue
                    verdict = 0
                    if gap > surely or reach <= hardly:
                        verdict = _walk(row, node, low, high, distance, power)
                    if verdict == 0:
                        _leaf_distances(cells, start, size, row, metric, reduced)
                        for other in range(size):
                            count += reduced[other] <= limit
                    elif verdict > 0:
                        count += size
                if climbed == 0 or count >= min_samples:
                    break
                nodes[0], depth = ((climbed - 1) ^ 1) + 1, 1
                climbed = (climbed - 1) // 2
            is_core[order[starts[leaf] + member]] = count >= min_samples


@kernel
def _root(parents, row):  # type: ignore[no-untyped-def]
    while parents[row] != row:
        parents[row] = parents[parents[row]]
        row = parents[row]
    return row


@kernel
def _unite(parents, one, two):  # type: ignore[no-untyped-def]
    one, two = _root(parents, one), _root(parents, two)
    parents[max(one, two)] = min(one, two)


@kernel
def _note_whole(starts, stops, parents, whole, node):  # type: ignore[no-untyped-def]
    """Note whether a node's rows are of one component. Once they are they stay so."""
    if whole[node]:
        return
    if node >= starts.shape[0] // 2:
        root = _root(parents, starts[node])
        for place in range(starts[node] + 1, stops[node]):
            if _root(parents, place) != root:
                return
        whole[node] = True
        return
    left, right = 2 * node + 1, 2 * node + 2
    if whole[left] and whole[right]:
        empty = starts[left] == stops[left] or starts[right] == stops[right]
        whole[node] = empty or _root(parents, starts[left]) == _root(parents, starts[right])


@kernel
def _settled(starts, stops, low, high, metric, hardly, parents, whole, one, two):  # type: ignore[no-untyped-def]
    """Whether no row of one node can be united with one of the other any more."""
    if starts[one] == stops[one] or starts[two] == stops[two]:
        return True
    if one != two and _node_gap(low, high, one, two, metric) > hardly:
        return True
    _note_whole(starts, stops, parents, whole, one)
    _note_whole(starts, stops, parents, whole, two)
    if not (whole[one] and whole[two]):
        return False
    return _root(parents, starts[one]) == _root(parents, starts[two])


@kernel
def _unite_leaves(tree, bounds, box, parents, whole, one, two, scratch, one_way, n_one_way):  # type: ignore[no-untyped-def]
    """Unite core rows of two leaves, or of one; what is reached one way only is added to `one_way`."""
    order, starts, stops, low, high, cells, _, metric = tree
    reduced, row, other_row = scratch
    hardly = bounds[3]
    start, size, own = starts[two], stops[two] - starts[two], stops[one] - starts[one]
    # So many unions make one component of a leaf, or of two leaves that each are one.
    n_united, enough = 0, size - 1 if one == two else (1 if whole[one] and whole[two] else size + own)
    for member in range(own):
        mine = starts[one] + member
        if whole[two] and _root(parents, mine) == _root(parents, start):
            continue
        _take(cells, starts[one], own, member, row)
        if one != two and _gap(low, high, two, row, metric) > hardly:
            continue
        _leaf_distances(cells, start, size, row, metric, reduced)
        for other in range(member + 1 if one == two else 0, size):
            theirs = start + other
            if reduced[other] > hardly or _root(parents, mine) == _root(parents, theirs):
                continue
            _take(cells, start, size, other, other_row)
            there = _reaches(row, reduced[other], two, box, bounds)
            back = _reaches(other_row, reduced[other], one, box, bounds)
            if there and back:
                _unite(parents, mine, theirs)
                n_united += 1
                if n_united == enough:
                    return one_way, n_one_way
            elif there or back:
                if n_one_way == one_way.shape[0]:
                    one_way = np.concatenate((one_way, one_way))
                one_way[n_one_way, 0] = order[mine if there else theirs]
                one_way[n_one_way, 1] = order[theirs if there else mine]
                n_one_way += 1
    return one_way, n_one_way


@kernel
def components(tree, bounds, box, roots):  # type: ignore[no-untyped-def]
    """Unite the core rows within each leaf, then, from the leaves to the root, those of sibling nodes."""
    order, starts, stops, low, high, _, widest, metric = tree
    n_nodes, n_features = low.shape
    first_leaf = n_nodes // 2
    whole = starts == stops
    parents = np.arange(order.shape[0])  # by place in the tree: what is near is near in memory
    scratch = (np.empty(widest), np.empty(n_features), np.empty(n_features))
    one_way, n_one_way = np.empty((16, 2), dtype=np.int64), 0
    pairs = np.empty((256, 2), dtype=np.int64)
    for top in range(n_nodes - 1, -1, -1):
        if starts[top] == stops[top]:
            continue
        pairs[0, 0] = top if top >= first_leaf else 2 * top + 1
        pairs[0, 1] = top if top >= first_leaf else 2 * top + 2
        depth = 1
        while depth > 0:
            depth -= 1
            one, two = pairs[depth, 0], pairs[depth, 1]
            if _settled(starts, stops, low, high, metric, bounds[3], parents, whole, one, two):
                continue
            if one >= first_leaf:  # both are on one level
                one_way, n_one_way = _unite_leaves(
                    tree, bounds, box, parents, whole, one, two, scratch, one_way, n_one_way
                )
                continue
            for step in range(4):
                pairs[depth + step, 0] = 2 * one + 2 - step % 2
                pairs[depth + step, 1] = 2 * two + 1 + step // 2
            depth += 4
        _note_whole(starts, stops, parents, whole, top)
    firsts = order.copy()
    for place in range(order.shape[0]):
        root = _root(parents, place)
        firsts[root] = min(firsts[root], order[place])
    for place in range(order.shape[0]):
        roots[order[place]] = firsts[_root(parents, place)]
    return one_way[:n_one_way]


@kernel
def reached_rows(tree, bounds, box, X, leaves, reached):  # type: ignore[no-untyped-def]
    """Which rows some core row finds; `leaves` are theirs in the tree of all rows."""
    _, starts, stops, low, high, cells, widest, metric = tree
    first_leaf = starts.shape[0] // 2
    reduced, core, nodes = np.empty(widest), np.empty(low.shape[1]), np.empty(64, dtype=np.int64)
    for query in range(X.shape[0]):
        nodes[0], depth = 0, 1
        while depth > 0 and not reached[query]:
            depth -= 1
            node = nodes[depth]
            if starts[node] == stops[node] or _gap(low, high, node, X[query], metric) > bounds[3]:
                continue
            if node < first_leaf:
                nodes[depth], nodes[depth + 1] = 2 * node + 1, 2 * node + 2
                depth += 2
                continue
            start, size = starts[node], stops[node] - starts[node]
            _leaf_distances(cells, start, size, X[query], metric, reduced)
            for other in range(size):
                _take(cells, start, size, other, core)
                reached[query] |= _reaches(core, reduced[other], leaves[query], box, bounds)
