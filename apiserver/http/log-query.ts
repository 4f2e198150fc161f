// log-query.ts: the parameters of a request for a log, as Kubernetes reads, checks and words them (PodLogOptions).
// https://github.com/kubernetes/kubernetes/blob/master/pkg/apis/core/validation/validation.go (ValidatePodLogOptions)

import { badRequest, forbiddenField, invalid, invalidValue, type FieldProblem } from '../../api/errors.js';
import { podContainerName } from '../../api/pod.js';
import { count, flag } from './query.js';

export interface LogQuery {
  follow: boolean;
  previous: boolean;
  timestamps?: boolean;
  tailLines?: number;
  limitBytes?: number;
  /** At most one of the two. */
  sinceSeconds?: number;
  /** Milliseconds since the epoch. */
  sinceMs?: number;
  attempt?: number;
}

const rfc3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/;

/**
 * @param name of the task, for errors
 * @throws ApiError BadRequest for what cannot be read, Invalid for what is out of range
 */
export function logQuery(query: URLSearchParams, name: string): LogQuery {
  const container = query.get('container');
  if (container && container !== podContainerName) throw badRequest(`container ${container} is not valid for pod ${name}`);
  const [tailLines, limitBytes, sinceSeconds] = [integer(query, 'tailLines'), integer(query, 'limitBytes'), integer(query, 'sinceSeconds')];
  const sinceMs = time(query, 'sinceTime');
  const problems: FieldProblem[] = [];
  if (tailLines !== undefined && tailLines < 0) problems.push(invalidValue('tailLines', tailLines, 'must be greater than or equal to 0'));
  if (limitBytes !== undefined && limitBytes < 1) problems.push(invalidValue('limitBytes', limitBytes, 'must be greater than 0'));
  if (sinceSeconds !== undefined && sinceMs !== undefined) problems.push(forbiddenField('', 'at most one of `sinceTime` or `sinceSeconds` may be specified'));
  else if (sinceSeconds !== undefined && sinceSeconds < 1) problems.push(invalidValue('sinceSeconds', sinceSeconds, 'must be greater than 0'));
  if (problems.length > 0) throw invalid({ group: '', plural: 'pods', kind: 'PodLogOptions' }, name, problems);
  const attempt = count(query, 'attempt');
  if (attempt === 0) throw badRequest('attempts are counted from 1');
  return {
    follow: flag(query, 'follow'),
    previous: flag(query, 'previous'),
    ...(flag(query, 'timestamps') ? { timestamps: true } : {}),
    ...(tailLines === undefined ? {} : { tailLines }),
    ...(limitBytes === undefined ? {} : { limitBytes }),
    ...(sinceSeconds === undefined ? {} : { sinceSeconds }),
    ...(sinceMs === undefined ? {} : { sinceMs }),
    ...(attempt === undefined ? {} : { attempt }),
  };
}

function integer(query: URLSearchParams, key: string): number | undefined {
  const value = query.get(key);
  if (value === null || value === '') return undefined;
  const number = Number(value);
  if (!/^[+-]?[0-9]+$/.test(value)) throw badRequest(`${key}: strconv.ParseInt: parsing ${JSON.stringify(value)}: invalid syntax`);
  if (!Number.isSafeInteger(number)) throw badRequest(`${key}: strconv.ParseInt: parsing ${JSON.stringify(value)}: value out of range`);
  return number;
}

function time(query: URLSearchParams, key: string): number | undefined {
  const value = query.get(key);
  if (value === null || value === '') return undefined;
  const ms = rfc3339.test(value) ? Date.parse(value) : NaN;
  if (Number.isNaN(ms)) throw badRequest(`${key}: parsing time ${JSON.stringify(value)} as "2006-01-02T15:04:05Z07:00": it must be an RFC 3339 time such as 2026-01-31T12:00:00Z`);
  return ms;
}
