"""The web pages of a node: for learners, for staff, and for everybody who checks a proof.

What lives here: pages, drawn on the server, complete without JavaScript. What must not: a decision about learning or
federation; pages ask the node through the operations of `node/desk`.
"""
