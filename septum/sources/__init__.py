"""What of the kernel's sources the model stands for: functions read from C, and what became of them since."""
