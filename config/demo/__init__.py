"""The demo world: a chat operator's tenants, half a year of their usage, and what came of it.

`world` says who the tenants are and how many users they have on each day, `traffic` turns that into
usage events, `payers` says when they pay; all three are pure and come out the same for a seed and a
last day. `seeding` plays them through the services of the product, with the clock moved along, so that
nothing in the database was written in any other way than in real use. Nothing imports this but its
command.
"""
