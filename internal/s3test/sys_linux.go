package s3test

import "syscall"

// dyingWithUs lets the kernel end the service when the test process ends in whatever way.
func dyingWithUs() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
