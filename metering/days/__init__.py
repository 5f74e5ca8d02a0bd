"""Days: a local day that is over is closed, with a digest; nothing changes it afterwards."""
