module bench/load/drive

go 1.21
