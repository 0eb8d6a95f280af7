"""The science of the calcium rule-out: arrays in, a finding out. No files, no settings, no logging."""
