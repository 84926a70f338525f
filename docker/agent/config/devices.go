package config

import (
	"fmt"
	"maps"
	"regexp"
	"slices"

	"tags.cncf.io/container-device-interface/pkg/parser"
)

// resourceClass matches the classes of Placement that devices may be: not those that Nova counts itself.
var resourceClass = regexp.MustCompile(`^(PGPU|VGPU|FPGA|CUSTOM_[A-Z0-9_]{1,248})$`)

func (c *Config) checkDevices() error {
	classes := map[string]string{} // by kind
	for _, class := range slices.Sorted(maps.Keys(c.Devices)) {
		kind := c.Devices[class]
		if !resourceClass.MatchString(class) {
			return fmt.Errorf("devices: %q is no resource class for devices: PGPU, VGPU, FPGA and CUSTOM_… are, in capitals", class)
		}
		if err := checkKind(kind); err != nil {
			return fmt.Errorf("devices: %s: %q is no kind of devices, as nvidia.com/gpu is: %w", class, kind, err)
		}
		if other, taken := classes[kind]; taken {
			return fmt.Errorf("devices: %s and %s are both %s, whose devices would be sold twice", other, class, kind)
		}
		classes[kind] = class
	}
	return nil
}

func checkKind(kind string) error {
	vendor, class := parser.ParseQualifier(kind)
	if err := parser.ValidateVendorName(vendor); err != nil {
		return err
	}
	return parser.ValidateClassName(class)
}
