"""What a design costs at real geometry: the model that is checked, run by one vCPU or many, with workloads, hosts and costs."""
