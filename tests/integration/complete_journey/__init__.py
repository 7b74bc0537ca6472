"""The Complete Journey, whose campaigns were answered as the files say."""

# in per cent, by type of campaign
RESPONSE = {"Type A": 16.6, "Type B": 6.5, "Type C": 5.9}
