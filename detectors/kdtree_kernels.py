"""The hot loops of the k-d tree.

Nodes and cells are those of `detectors.kdtree.Tree`; `tree` is its `arrays`. Whoever calls has checked shapes and
indices.
"""

import numpy as np

from detectors.kernels import kernel

EUCLIDEAN, MANHATTAN, CHEBYSHEV = 0, 1, 2


@kernel
def split(points, order, starts, stops, low, high, spare):  # type: ignore[no-untyped-def]
    """Halve nodes from the root to the leaves, and write down their corners; `spare` is like `points`."""
    n_nodes, n_features = low.shape
    keys, places = np.empty(points.shape[0]), np.empty(points.shape[0], dtype=np.int64)
    stops[0] = points.shape[0]
    for node in range(n_nodes):
        start, stop = starts[node], stops[node]
        axis = _measure(points, start, stop, low[node], high[node])
        if 2 * node + 1 >= n_nodes:
            continue
        middle = start + (stop - start) // 2
        for row in range(start, stop):
            keys[row], places[row] = points[row, axis], row
        if start < middle:
            _select(keys, order, places, start, stop, middle)
        for row in range(start, stop):
            for k in range(n_features):
                spare[row, k] = points[places[row], k]
        points[start:stop] = spare[start:stop]
        starts[2 * node + 1], stops[2 * node + 1] = start, middle
        starts[2 * node + 2], stops[2 * node + 2] = middle, stop


@kernel
def _measure(points, start, stop, low, high):  # type: ignore[no-untyped-def]
    """Write down the corners of a node; return which side is the widest."""
    axis, widest = 0, 0.0
    for k in range(points.shape[1]):
        smallest, largest = np.inf, -np.inf
        for row in range(start, stop):
            smallest, largest = min(smallest, points[row, k]), max(largest, points[row, k])
        low[k], high[k] = smallest, largest
        if largest - smallest > widest:
            axis, widest = k, largest - smallest
    return axis


@kernel
def _pivot(keys, numbers, left, right, draw):  # type: ignore[no-untyped-def]
    """The median of a row drawn at random, its mirror image and the one in the middle: no order of rows is slow."""
    a = left + np.int64((draw >> np.uint64(33)) % np.uint64(right - left + 1))
    b, c = (left + right) // 2, right - (a - left)
    if keys[b] < keys[a] or (keys[b] == keys[a] and numbers[b] < numbers[a]):
        a, b = b, a
    if keys[c] < keys[b] or (keys[c] == keys[b] and numbers[c] < numbers[b]):
        return a if keys[c] < keys[a] or (keys[c] == keys[a] and numbers[c] < numbers[a]) else c
    return b


@kernel
def _swap(keys, numbers, places, one, two):  # type: ignore[no-untyped-def]
    keys[one], keys[two] = keys[two], keys[one]
    numbers[one], numbers[two] = numbers[two], numbers[one]
    places[one], places[two] = places[two], places[one]


@kernel
def _select(keys, numbers, places, start, stop, middle):  # type: ignore[no-untyped-def]
    """Put what belongs before `middle` before it, by key and then by number."""
    left, right = start, stop - 1
    draw = np.uint64(stop - start)
    while left < right:
        draw = draw * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
        _swap(keys, numbers, places, _pivot(keys, numbers, left, right, draw), right)
        key, number, split = keys[right], numbers[right], left
        for row in range(left, right):  # swaps always and branches never: half of the guesses would be wrong
            before = (keys[row] < key) | ((keys[row] == key) & (numbers[row] < number))
            _swap(keys, numbers, places, row, split)
            split += before
        _swap(keys, numbers, places, split, right)
        if split == middle:
            return
        if middle < split:
            right = split - 1
        else:
            left = split + 1


@kernel
def lay_out(points, starts, stops, cells):  # type: ignore[no-untyped-def]
    """Put the points of each leaf into its cells."""
    n_features = points.shape[1]
    for leaf in range(starts.shape[0] // 2, starts.shape[0]):
        start, size = starts[leaf], stops[leaf] - starts[leaf]
        for k in range(n_features):
            for row in range(size):
                cells[start * n_features + k * size + row] = points[start + row, k]


@kernel
def keep(cells, starts, stops, in_order, kept_cells, low, high):  # type: ignore[no-untyped-def]
    """Put the cells of rows that are kept together, and write down the corners of their nodes."""
    n_nodes, n_features = low.shape
    position = 0
    for leaf in range(n_nodes // 2, n_nodes):
        start, size = starts[leaf], stops[leaf] - starts[leaf]
        for k in range(n_features):
            for row in range(size):
                if in_order[start + row]:
                    value = cells[start * n_features + k * size + row]
                    kept_cells[position] = value
                    position += 1
                    low[leaf, k] = min(low[leaf, k], value)
                    high[leaf, k] = max(high[leaf, k], value)
    for node in range(n_nodes // 2 - 1, -1, -1):
        for k in range(n_features):
            low[node, k] = min(low[2 * node + 1, k], low[2 * node + 2, k])
            high[node, k] = max(high[2 * node + 1, k], high[2 * node + 2, k])


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
def _gap(low, high, node, row, metric):  # type: ignore[no-untyped-def]
    """The reduced distance from a row to the nearest corner or side of a node: never more than to a row in it."""
    gap = 0.0
    for k in range(row.shape[0]):
        side = max(low[node, k] - row[k], row[k] - high[node, k], 0.0)
        if metric == EUCLIDEAN:
            gap += side * side
        elif metric == MANHATTAN:
            gap += side
        else:
            gap = max(gap, side)
    return gap


@kernel
def _push_children(low, high, metric, node, row, nodes, gaps, depth):  # type: ignore[no-untyped-def]
    """Put the nearer child on top."""
    near, far = 2 * node + 1, 2 * node + 2
    near_gap, far_gap = _gap(low, high, near, row, metric), _gap(low, high, far, row, metric)
    if far_gap < near_gap:
        near, far, near_gap, far_gap = far, near, far_gap, near_gap
    nodes[depth], gaps[depth] = far, far_gap
    nodes[depth + 1], gaps[depth + 1] = near, near_gap
    return depth + 2


@kernel
def nearest_rows(tree, X, reduced, rows):  # type: ignore[no-untyped-def]
    """The nearest row of each of `X`, of several at the same distance the first."""
    # Unpacked once: taking arrays out of a tuple counts references, which costs more than a node does.
    order, starts, stops, low, high, cells, widest, metric = tree
    in_leaf, nodes, gaps = np.empty(widest), np.empty(64, dtype=np.int64), np.empty(64)
    for query in range(X.shape[0]):
        row, best, found = X[query], np.inf, -1
        nodes[0], gaps[0], depth = 0, 0.0, 1
        while depth > 0:
            depth -= 1
            node = nodes[depth]
            start, size = starts[node], stops[node] - starts[node]
            if gaps[depth] > best or size == 0:
                continue
            if node < starts.shape[0] // 2:
                depth = _push_children(low, high, metric, node, row, nodes, gaps, depth)
                continue
            _leaf_distances(cells, start, size, row, metric, in_leaf)
            for other in range(size):
                number = order[start + other]
                if in_leaf[other] < best or (in_leaf[other] == best and (found < 0 or number < found)):
                    best, found = in_leaf[other], number
        reduced[query], rows[query] = best, found


@kernel
def _insert(reduced, rows, distance, number):  # type: ignore[no-untyped-def]
    place = reduced.shape[0] - 1
    while place > 0 and reduced[place - 1] > distance:
        reduced[place], rows[place] = reduced[place - 1], rows[place - 1]
        place -= 1
    reduced[place], rows[place] = distance, number


@kernel
def k_nearest_rows(tree, first, last, reduced, rows):  # type: ignore[no-untyped-def]  # noqa: C901
    """The leaves `first` to `last`; a search starts in the row's own leaf and climbs: the bound is soon tight."""
    # One long function: split in two, where arrays are handed from one to the other, it takes twice as long.
    order, starts, stops, low, high, cells, widest, metric = tree
    in_leaf, row, nodes = np.empty(widest), np.empty(low.shape[1]), np.empty(64, dtype=np.int64)
    first_leaf, k = starts.shape[0] // 2, reduced.shape[1]
    for leaf in range(first_leaf + first, first_leaf + last):
        start, size = starts[leaf], stops[leaf] - starts[leaf]
        for member in range(size):
            for feature in range(row.shape[0]):
                row[feature] = cells[start * row.shape[0] + feature * size + member]
            near, numbers = reduced[order[start + member]], rows[order[start + member]]
            near[:], numbers[:] = np.inf, -1
            climbed, nodes[0], depth = leaf, leaf, 1
            while True:
                while depth > 0:
                    depth -= 1
                    node = nodes[depth]
                    if numbers[k - 1] >= 0 and _gap(low, high, node, row, metric) >= near[k - 1]:
                        continue
                    if node < first_leaf:
                        nodes[depth], nodes[depth + 1] = 2 * node + 1, 2 * node + 2
                        depth += 2
                        continue
                    _leaf_distances(cells, starts[node], stops[node] - starts[node], row, metric, in_leaf)
                    for other in range(stops[node] - starts[node]):
                        if in_leaf[other] < near[k - 1] or numbers[k - 1] < 0:
                            _insert(near, numbers, in_leaf[other], order[starts[node] + other])
                if climbed == 0:
                    break
                nodes[0], depth = ((climbed - 1) ^ 1) + 1, 1
                climbed = (climbed - 1) // 2
