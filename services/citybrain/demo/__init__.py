"""The demo of `citybrain up --demo`: real samples played into a running city, and what becomes of them in the terminal.

samples.py    the samples as one stream, moved to now (pure but for reading the files)
play.py       posts it: history first, then life; runs until cancelled     → called by the command line
figures.py    what the city says of itself, read over HTTP
view.py       the same as a picture in the terminal, or as plain lines
receiver.py   the duty desks: takes webhooks on 127.0.0.1 whose signature is right
desks.py      makes their endpoints in the city, by the names in the rule book's routes
pages.py      a webhook in words, in Chinese or English
rules.yaml    the one rule that the demo adds, for a meter that play.py keeps silent on purpose
"""
