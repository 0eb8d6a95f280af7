"""The always-on side: receiver, assembler, REST."""
