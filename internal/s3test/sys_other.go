//go:build !linux

package s3test

import "syscall"

func dyingWithUs() *syscall.SysProcAttr { return nil }
