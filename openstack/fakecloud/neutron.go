package fakecloud

import "net/http"

func (c *Cloud) neutron(mux *http.ServeMux) {
	mux.HandleFunc("GET /network/{$}", versions("v2.0"))
	c.list(mux, Network, "/network/v2.0/networks")
	c.one(mux, Network, "/network/v2.0/networks/{id}", "Network %s could not be found.",
		func(w http.ResponseWriter, status int, message string) {
			answer(w, status, Object{"NeutronError": Object{"type": "NetworkNotFound", "message": message, "detail": ""}})
		})
	c.list(mux, SecurityGroup, "/network/v2.0/security-groups")
	c.one(mux, SecurityGroup, "/network/v2.0/security-groups/{id}", "Security group %s does not exist",
		func(w http.ResponseWriter, status int, message string) {
			answer(w, status, Object{"NeutronError": Object{"type": "SecurityGroupNotFound", "message": message, "detail": ""}})
		})
	mux.HandleFunc("GET /network/v2.0/agents", c.authenticated(administrators(c.all(Agent), func(w http.ResponseWriter, _ *http.Request, _ string) {
		answer(w, http.StatusOK, Object{"agents": []Object{}})
	})))
	mux.HandleFunc("GET /network/v2.0/network-ip-availabilities", c.authenticated(administrators(c.availabilities, func(w http.ResponseWriter, _ *http.Request, _ string) {
		answer(w, http.StatusOK, Object{"network_ip_availabilities": []Object{}})
	})))
	mux.HandleFunc("GET /network/v2.0/quotas/"+ProjectID+"/details.json", c.authenticated(func(w http.ResponseWriter, _ *http.Request, _ string) {
		ports := Object{"limit": 500, "used": 2, "reserved": 0}
		if c.faults[PortsExceeded] {
			ports["used"] = 500
		}
		answer(w, http.StatusOK, Object{"quota": Object{"port": ports}})
	}))
}

// availabilities has three of 253 addresses in use in each network, or all where a fault says so; and some of IPv6.
func (c *Cloud) availabilities(w http.ResponseWriter, _ *http.Request, _ string) {
	used := 3
	if c.faults[AddressesUsed] {
		used = 253
	}
	found := []Object{}
	for _, network := range c.objects[Network] {
		found = append(found, Object{"network_id": network.id(), "subnet_ip_availability": []Object{
			{"ip_version": 4, "total_ips": 253, "used_ips": used}, {"ip_version": 6, "total_ips": 18446744073709551614.0, "used_ips": 3},
		}})
	}
	answer(w, http.StatusOK, Object{"network_ip_availabilities": found})
}
