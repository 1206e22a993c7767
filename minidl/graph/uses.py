"""When the gradient of a leaf is complete, while the walk goes on: for hooks that must not wait for the end."""

from .nodes import Leaf, walked_before


class Uses:
    """How many shares of its gradient each leaf with hooks `after` has still to get: one for each input that it is."""

    def __init__(self, seeds):
        self.left = {}
        reached, stack = set(seeds), list(seeds)
        while stack:
            node = stack.pop()
            if node.needs is None:
                walked_before(node)
            for parent in node.needs:
                if type(parent) is Leaf:
                    if parent.after:
                        self.left[parent] = self.left.get(parent, 0) + 1
                elif parent is not None and parent not in reached:
                    reached.add(parent)
                    stack.append(parent)

    def completed(self, node):
        """The leaves that get nothing more, now that this node has sent its gradients. (Some operations send none.)"""
        left, found = self.left, []
        for parent in node.needs:
            if parent in left:
                left[parent] -= 1
                if not left[parent]:
                    found.append(parent)
        return found
