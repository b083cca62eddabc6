module bench/load/backend

go 1.21
