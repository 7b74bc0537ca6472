"""A local stand-in for the mail provider: its API, its signed events, an inbox and fault switches.

Nothing in here reaches a person: it listens on loopback and posts to loopback only. What winback
itself sends and how it reads events belongs to `outreach` and `record`; the sandbox never
imports them, so that both sides can not share one misunderstanding.
"""
