// app.ts: the front door. Everything but resources comes through Express: health, discovery and whatever is mounted beside
// the API. Resource requests take the short way in server.ts, because Express costs more than all we do for one of them.

import express, { type ErrorRequestHandler, type Express, type RequestHandler } from 'express';
import { toApiError } from './errors.js';
import type { Logger } from '../../lib/log.js';

/** @param serve answers any request of the API */
export function createApp(options: { serve: RequestHandler; logger: Logger }): Express {
  const { serve, logger } = options;
  const app = express();
  app.disable('x-powered-by');
  // The handler makes its own ETags where they help.
  app.disable('etag');
  app.use(serve);
  const failed: ErrorRequestHandler = (error: unknown, request, response, _next) => {
    const status = toApiError(error, { requestId: '', method: request.method, path: request.path }, logger).toStatus();
    if (response.headersSent) response.destroy();
    else response.status(status.code).json(status);
  };
  app.use(failed);
  return app;
}
