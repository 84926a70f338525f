package agent

import (
	"errors"
	"fmt"
)

// Fault is the body of a response that is no success, and the error of a client.
type Fault struct {
	Code    string `json:"code"`
	Message string `json:"message"`

	Layers []LeftOutLayer `json:"layers,omitempty"` // with LayersLeftOut
}

func (f *Fault) Error() string { return f.Message }

// The codes that callers act on.
const (
	NoSuchInstance = "no_such_instance"
	UnusableImage  = "unusable_image"  // here and on every other host: nothing is gained by trying elsewhere
	LayersLeftOut  = "layers_left_out" // of the archive: they are to be sent, too
	UnusableFlavor = "unusable_flavor"
	UnusablePort   = "unusable_port"
	NotRunning     = "not_running"
	NoTerminal     = "no_terminal" // its process was not given one
	NoFreePort     = "no_free_port"
	BadRequest     = "bad_request"
	Failed         = "failed"
)

// Faultf returns a *Fault with this code.
func Faultf(code, format string, args ...any) error {
	return &Fault{Code: code, Message: fmt.Sprintf(format, args...)}
}

// CodeOf returns the code of the *Fault that err is or wraps, Failed for any other error, and "" for nil.
func CodeOf(err error) string {
	var fault *Fault
	switch {
	case err == nil:
		return ""
	case errors.As(err, &fault):
		return fault.Code
	}
	return Failed
}
