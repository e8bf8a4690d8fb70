"""The real program in simulated worlds: clock, chance, network, CA and disk, all of one seed."""
