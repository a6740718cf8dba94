"""The room of foreign formats: what leaves this network for other people's programs, printers and eyes.

What lives here: writing what somebody else defined (wallets' RDF proofs, CLR, ELMO, QR codes) and text to be printed.
What must not: reading files of others (`intake`), decisions, storage or the clock; times and random bytes come in.
"""
