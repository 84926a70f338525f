package openstack

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/tokens"
)

// locator finds the endpoint of a service as openstacksdk does: where an override says, else in the catalogue, by
// what is said of this service. It does not ask the service for its versions, which a proxy may hide: releases that
// ndock works with have those that it needs.
func (found login) locator(catalogue gophercloud.EndpointLocator, ids func() map[string]string) gophercloud.EndpointLocator {
	return func(options gophercloud.EndpointOpts) (string, error) {
		service := options.Type
		if override := found.services.text(service+"_endpoint_override", service+"_endpoint"); override != "" {
			return versioned(service, expandIDs(found.services.expanded(override), ids())), nil
		}
		options.Version = 0
		options.Type = cmp.Or(found.services.text(service+"_service_type"), service)
		options.Name = found.services.text(service + "_service_name")
		options.Region = cmp.Or(found.services.text(service+"_region_name"), options.Region)
		if wanted := found.services.text(service+"_interface", service+"_endpoint_type"); wanted != "" {
			own, err := availability(wanted)
			if err != nil {
				return "", fmt.Errorf("%s_%w", service, err)
			}
			options.Availability = own
		}
		url, err := catalogue(options)
		return versioned(service, url), err
	}
}

var (
	anyVersion   = regexp.MustCompile(`/v\d+(\.\d+)?/*$`)
	novasVersion = regexp.MustCompile(`/v2(\.\d+)?(/[^/]+)?/*$`)
	idInURL      = regexp.MustCompile(`[%$]\((\w+)\)s`)
)

// versioned returns an endpoint as gophercloud wants it: without a version for Glance and Neutron, to which it adds
// one, and with Nova's. Clouds have them with and without.
func versioned(service, url string) string {
	switch service {
	case "image", "network":
		url = anyVersion.ReplaceAllString(url, "/")
	case "compute":
		if match := novasVersion.FindStringSubmatch(url); match != nil {
			url = novasVersion.ReplaceAllString(url, "/v2.1"+match[2])
		} else if url != "" {
			url = strings.TrimRight(url, "/") + "/v2.1"
		}
	}
	if url == "" {
		return ""
	}
	return gophercloud.NormalizeURL(url)
}

// expandIDs puts the ids of project and user where %(project_id)s and its like stand.
func expandIDs(url string, ids map[string]string) string {
	return idInURL.ReplaceAllStringFunc(url, func(name string) string {
		return cmp.Or(ids[idInURL.FindStringSubmatch(name)[1]], name)
	})
}

// ErrNoRegion is what the search for a service ends in when the whole region is missing: its name is mostly wrong.
var ErrNoRegion = errors.New("the catalogue has no such region")

// noEndpoint says what to do about a service that the catalogue does not have.
func (c *Cloud) noEndpoint(op string, err error) error {
	failure := &Error{Op: op, Err: err}
	regions, wanted := c.regions(), c.endpoint.Region
	switch {
	case len(regions) == 0 && c.project() == "":
		failure.hint = "the login is for no project, and the catalogue empty: export OS_PROJECT_NAME=PROJECT, or give project_name in clouds.yaml"
	case wanted != "" && len(regions) > 0 && !slices.Contains(regions, wanted):
		failure.Err = fmt.Errorf("%w as %s", ErrNoRegion, wanted)
		failure.hint = "there are " + listed(regions) + "; OS_REGION_NAME, or region_name in clouds.yaml, says which"
	}
	return failure
}

// regions returns the regions of the catalogue, in order.
func (c *Cloud) regions() []string {
	token, ok := c.provider.GetAuthResult().(interface {
		ExtractServiceCatalog() (*tokens.ServiceCatalog, error)
	})
	if !ok {
		return nil
	}
	catalogue, err := token.ExtractServiceCatalog()
	if err != nil {
		return nil // Keystone has sent none
	}
	var regions []string
	for _, service := range catalogue.Entries {
		for _, endpoint := range service.Endpoints {
			if region := cmp.Or(endpoint.Region, endpoint.RegionID); region != "" {
				regions = append(regions, region)
			}
		}
	}
	slices.Sort(regions)
	return slices.Compact(regions)
}

// ids returns the ids that an endpoint can have in it.
func (c *Cloud) ids() map[string]string {
	session := c.Session()
	ids := map[string]string{"project_id": session.ProjectID, "tenant_id": session.ProjectID}
	if token, ok := c.provider.GetAuthResult().(interface {
		ExtractUser() (*tokens.User, error)
	}); ok {
		if user, err := token.ExtractUser(); err == nil && user != nil {
			ids["user_id"] = user.ID
		}
	}
	return ids
}
