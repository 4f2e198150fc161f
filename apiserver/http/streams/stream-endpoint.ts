// stream-endpoint.ts: exec, attach and port-forward as what a path and a method lead to: who may, and how it counts.

import { badRequest } from '../../../api/errors.js';
import type { Endpoint } from '../endpoint.js';
import { attributesOf } from '../resource-endpoints.js';
import type { ResourceRoute } from '../route.js';
import type { StreamRequest } from './stream-request.js';

const noQuery = new URLSearchParams();

/** A request that asks for no upgrade is answered with that. Undefined for methods that open no stream. */
export function streamEndpoint({ kind, subresource }: StreamRequest, route: ResourceRoute, method: string): Endpoint | undefined {
  if (method !== 'GET' && method !== 'POST') return undefined;
  return {
    // As Kubernetes has it: SPDY comes as POST, a WebSocket as GET.
    attributes: attributesOf(route, kind, method === 'POST' ? 'create' : 'get', noQuery),
    label: { verb: 'connect', resource: `${kind.plural}/${subresource}` },
    run: () => Promise.reject(badRequest('Upgrade request required')),
  };
}
