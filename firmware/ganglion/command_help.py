"""Console: `help`."""

TEXT = """\
Say what you want: turn on pin 5. Or one of these:
  status            how it is: memory, Wi-Fi, broker, time
  points            names of pins, and levels
  rules, schedules, routines
                    what is set: when, and how it went last
  log               the last events and faults
  wifi              the network; 'wifi <name>' sets another
  reboot            starts again
  safe off          ends safe mode
  factory reset     forgets what was set up; 'factory reset all' its identity, too"""
