"""In the path of programs that tests start: they run as with requirements.txt, which has no torch.

TensorBoard's writer takes torch where there is one, and imports it for longer than all else.
"""

raise ImportError("torch is not among requirements.txt")
